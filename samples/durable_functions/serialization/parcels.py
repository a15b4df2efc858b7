"""A class that activities and orchestrators pass to each other."""


class Parcel:
    def __init__(self, to: str, kilos: float, stamp: str = "") -> None:
        self.to, self.kilos, self.stamp = to, kilos, stamp

    @staticmethod
    def to_json(parcel: "Parcel") -> dict:
        return {"to": parcel.to, "kilos": parcel.kilos, "stamp": parcel.stamp}

    @staticmethod
    def from_json(data: dict) -> "Parcel":
        return Parcel(data["to"], data["kilos"], data["stamp"])
