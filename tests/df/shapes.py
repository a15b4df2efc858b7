"""Classes of an app, with the protocol of Durable Functions."""

from __future__ import annotations

from typing import Any


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))

    @staticmethod
    def to_json(point: Point) -> list[int]:
        return [point.x, point.y]

    @staticmethod
    def from_json(data: Any) -> Point:
        x, y = data
        return Point(x, y)


class Circle:
    def __init__(self, radius: int) -> None:
        self.radius = radius

    def to_json(self) -> int:
        return self.radius

    @staticmethod
    def from_json(data: int) -> Circle:
        return Circle(data)


def hidden() -> None: ...
