"""The routes, without a host: an order that is started waits for one."""

from fastapi.testclient import TestClient

from api import api


def test_an_order_is_started_once_and_found() -> None:
    with TestClient(api) as http:
        assert http.post("/api/orders", json={"order_id": "o-1", "cents": 4200}).status_code == 202
        assert http.get("/api/orders/o-1").json() == {"order_id": "o-1", "status": "Pending", "outcome": None}
        assert http.post("/api/orders", json={"order_id": "o-1", "cents": 4200}).status_code == 409
        assert http.post("/api/orders/o-1/delivered").status_code == 202


def test_what_is_not_there_or_does_not_fit_is_said() -> None:
    with TestClient(api) as http:
        assert http.get("/api/orders/o-9").status_code == 404
        assert http.post("/api/orders/o-9/delivered").status_code == 404
        assert http.post("/api/orders", json={"order_id": "", "cents": 0}).status_code == 422
