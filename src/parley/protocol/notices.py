"""What the assistant's askers are told where it cannot answer, in the words that the older clients know."""

AWAY = "AI服务暂时不可用，请稍后重试"
"""From the system: there is no assistant, or it takes no more questions just now."""
SORRY = "抱歉，我现在无法回答您的问题，请稍后重试。"
"""From the assistant: it was asked and could not answer."""
