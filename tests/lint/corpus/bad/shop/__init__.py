from .pricing import price_of

__all__ = ["price_of"]
