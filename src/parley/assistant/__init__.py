"""The seam of the assistant: something that answers, piece by piece. One implementation: any endpoint of the OpenAI
kind."""
