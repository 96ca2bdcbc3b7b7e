"""How the prediction service is started; importing this costs nothing."""

from __future__ import annotations

import sys

from cryptobot_assets.settings import Settings

SERVICE = "cryptobot_assets.serving.service:PredictionService"
BENTOML_FOLDER = "bentoml"
CACHE_FOLDER = "serving-cache"
LIMITS_FOLDER = "serving-limits"
REQUEST_SECONDS = 30


def service_command(
    settings: Settings, port: int, *, host: str = "127.0.0.1", workers: int | None = None
) -> tuple[list[str], dict[str, str]]:
    """Arguments, and the variables to add to the environment, of the service's process.

    The process is a supervisor with `workers` workers (None: as the settings say) below it: start it in a process
    group of its own, and end it with SIGTERM (or SIGINT). Nothing is written outside the home. MLflow's own
    credentials and `AWS_*` are inherited as they are.
    """
    folder = settings.home / BENTOML_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (settings.home / "tmp").mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", host, "--port", str(port)]
    env = {
        "CRYPTOBOT_HOME": str(settings.home),
        "CRYPTOBOT_STORE_URL": settings.lake_url,
        "CRYPTOBOT_INTERVAL": settings.interval,
        "CRYPTOBOT_CURRENCIES": ",".join(settings.currencies),
        "CRYPTOBOT_SERVICE_MARKET": settings.service_market,
        "CRYPTOBOT_RATE_LIMIT": str(settings.rate_limit),
        "CRYPTOBOT_CHALLENGER_SHARE": str(settings.challenger_share),
        "CRYPTOBOT_STALE_HOURS": str(settings.stale_hours),
        "BENTOML_HOME": str(folder),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": f"services.cryptobot_predictions.workers={workers or settings.service_workers}",
        "TMPDIR": str(settings.home / "tmp"),
        "OTEL_SDK_DISABLED": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    optional = {
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "CRYPTOBOT_METADATA_URL": settings.metadata_url,
        "CRYPTOBOT_API_KEY": settings.api_key,
        "CRYPTOBOT_API_KEYS_FILE": settings.api_keys_file and str(settings.api_keys_file),
    }
    return argv, env | {name: value for name, value in optional.items() if value}
