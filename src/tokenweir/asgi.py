"""``uvicorn tokenweir.asgi:app``: the gateway in any server that speaks ASGI.

Configured as ``tokenweir serve`` is: the file that TOKENWEIR_CONFIG names, else ``tokenweir.toml``, and the variables.
"""

from .serve.asgi_app import GatewayApp

__all__ = ["app"]

app = GatewayApp()
