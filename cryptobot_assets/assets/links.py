"""Links from asset metadata to MLflow's pages."""

from urllib.parse import urlsplit

import dagster as dg

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry_records import RegisteredVersion

MODEL_TRAINING = "workflowType=machine_learning"  # else MLflow opens among its pages about chats


def registry_page(settings: Settings, version: RegisteredVersion) -> dg.UrlMetadataValue:
    """MLflow's page of a version: on the tracking server the settings name, else on that of `cryptobot up`."""
    page = f"{mlflow_address(settings)}/#/models/{version.name}/versions/{version.version}"
    return dg.MetadataValue.url(f"{page}?{MODEL_TRAINING}")


def artifact_page(settings: Settings, experiment_id: str, run_id: str, name: str) -> dg.UrlMetadataValue:
    """MLflow's page that shows a file of a run."""
    return dg.MetadataValue.url(
        f"{mlflow_address(settings)}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/{name}"
    )


def mlflow_address(settings: Settings) -> str:
    """Where MLflow's pages are; credentials of the tracking address are left out."""
    address = urlsplit(settings.mlflow_tracking_uri or "")
    if address.scheme in ("http", "https"):
        place = address.netloc.rpartition("@")[2]
        return f"{address.scheme}://{place}{address.path.rstrip('/')}"
    return f"http://127.0.0.1:{settings.mlflow_port}"
