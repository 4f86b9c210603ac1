"""Tokenweir: the gateway and meter for Azure OpenAI."""

__version__ = "0.1.0"
