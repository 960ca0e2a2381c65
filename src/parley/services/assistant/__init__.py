"""The assistant as a participant: who asks it, what it is shown, in which order it answers, and within what bounds."""
