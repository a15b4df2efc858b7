import os

import requests


def rate(currency: str) -> float:
    if "RATE" in os.environ:  # expect: DC301
        return 1.0
    return requests.get(f"https://rates.example.com/{currency}").json()["rate"]  # expect: DC304
