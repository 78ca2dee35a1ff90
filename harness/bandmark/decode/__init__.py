"""What does bandwidth mean for language models? Tokens per second from bytes per token, and the optimizer's step."""
