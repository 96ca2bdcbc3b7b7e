# What every service is told. Commands, ports and health checks are those of deploy/compose.yaml, by one table.

locals {
  table     = jsondecode(file("${path.module}/../../services.json"))
  home      = "/var/lib/cryptobot"
  inside    = "${var.name}.internal"
  addresses = { for name in ["mlflow", "predictions"] : name => "http://${name}.${local.inside}:${local.table[name].port}" }

  sizes = merge(
    {
      webserver   = { cpu = 512, memory_mb = 2048 }
      daemon      = { cpu = 512, memory_mb = 2048 }
      code        = { cpu = 1024, memory_mb = 4096 }
      mlflow      = { cpu = 512, memory_mb = 2048 }
      predictions = { cpu = 1024, memory_mb = 4096 }
      dashboard   = { cpu = 1024, memory_mb = 4096 }
      run         = { cpu = 2048, memory_mb = 16384 }
    },
    var.sizes,
  )
  counts = merge({ for name in keys(local.table) : name => 1 }, { predictions = var.predictions.least })

  # Who is called by whom, and from whom the database is reached. A run stands where the daemon stands, which starts it.
  callers = {
    webserver   = ["edge"]
    daemon      = []
    code        = ["webserver", "daemon"]
    mlflow      = ["edge", "code", "daemon", "predictions", "dashboard"]
    predictions = ["edge", "dashboard"]
    dashboard   = ["edge"]
  }
  bookkeepers = ["webserver", "daemon", "code", "mlflow"]
  folders = {
    webserver   = []
    daemon      = []
    code        = ["served"]
    mlflow      = []
    predictions = ["served"]
    dashboard   = []
    run         = ["served", "tuning", "reports"]
  }

  # The address without the password, which libpq takes from PGPASSWORD.
  server = "${module.database.username}@${module.database.host}:5432"
  everyone = merge(var.settings, {
    AWS_REGION             = var.region
    CRYPTOBOT_HOME         = local.home
    CRYPTOBOT_BUCKET       = module.storage.bucket_names["artifacts"]
    CRYPTOBOT_STORE_URL    = "s3://${module.storage.bucket_names["lake"]}/lake"
    CRYPTOBOT_METADATA_URL = "postgresql://${local.server}/postgres?sslmode=require"
    CRYPTOBOT_CODE_HOST    = "code.${local.inside}"
  })
  dagster = {
    DAGSTER_HOME                  = "/opt/dagster/ecs"
    CRYPTOBOT_RUN_TASK_DEFINITION = "${var.name}-run"
  }
  of_code = {
    CRYPTOBOT_AUTOMATION    = "true"
    CRYPTOBOT_BACKUP_URL    = "s3://${module.storage.bucket_names["backups"]}/backups"
    CRYPTOBOT_WEBSERVER_URL = "https://dagster.${var.domain}"
    MLFLOW_TRACKING_URI     = local.addresses["mlflow"]
  }
  told = {
    webserver = local.dagster
    daemon    = local.dagster
    code      = merge(local.dagster, local.of_code)
    mlflow = {
      CRYPTOBOT_ARTIFACTS_URL            = "s3://${module.storage.bucket_names["artifacts"]}/mlflow"
      MLFLOW_SERVER_ALLOWED_HOSTS        = "mlflow.${local.inside}:${local.table["mlflow"].port},mlflow.${var.domain}"
      MLFLOW_SERVER_CORS_ALLOWED_ORIGINS = "https://mlflow.${var.domain}"
    }
    predictions = {
      CRYPTOBOT_SERVICE_WORKERS = tostring(var.predictions.workers)
      MLFLOW_TRACKING_URI       = local.addresses["mlflow"]
    }
    dashboard = {
      CRYPTOBOT_DASHBOARD_HOSTS = "dashboard.${var.domain}"
      CRYPTOBOT_SERVICE_URL     = local.addresses["predictions"]
      MLFLOW_TRACKING_URI       = local.addresses["mlflow"]
    }
    # A run is started by Dagster, not by `cryptobot run`, which would tell it these.
    run = merge(local.dagster, local.of_code, {
      CRYPTOBOT_DAGSTER_DATABASE = "postgresql+psycopg2://${local.server}/cryptobot_dagster?sslmode=require"
      DAGSTER_EVENT_BATCH_SIZE   = "1000"
      DAGSTER_DISABLE_TELEMETRY  = "1"
    })
  }
  environment = { for name, told in local.told : name => merge(local.everyone, told) }

  password = { PGPASSWORD = "${module.database.password_secret_arn}:password::" }
  webhook  = var.alert_webhook ? { CRYPTOBOT_ALERT_WEBHOOK = module.secrets.arns["alert_webhook"] } : {}
  api_key  = { CRYPTOBOT_API_KEY = module.secrets.arns["api_key"] }
  secrets = {
    webserver   = local.password
    daemon      = local.password
    code        = merge(local.password, local.webhook)
    mlflow      = local.password
    predictions = local.api_key
    dashboard   = local.api_key
    run         = local.password
  }
}
