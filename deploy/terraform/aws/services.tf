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
      metrics     = { cpu = 512, memory_mb = 2048 }
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
    mlflow      = ["edge", "code", "daemon", "predictions", "dashboard", "metrics"]
    predictions = ["edge", "dashboard"]
    dashboard   = ["edge"]
    metrics     = []
  }
  # Those that a Prometheus asks, which is yours to run.
  scraped     = ["predictions", "metrics"]
  bookkeepers = ["webserver", "daemon", "code", "mlflow", "metrics"]
  folders = {
    webserver   = []
    daemon      = []
    code        = ["served"]
    mlflow      = []
    predictions = ["served"]
    dashboard   = []
    metrics     = ["served"]
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
  # The registry's two accounts: who trains and promotes, and who changes nothing.
  registry = {
    for account in ["writer", "reader"] : account => {
      MLFLOW_TRACKING_URI      = local.addresses["mlflow"]
      MLFLOW_TRACKING_USERNAME = account
    }
  }
  of_code = merge(local.registry["writer"], {
    CRYPTOBOT_AUTOMATION    = "true"
    CRYPTOBOT_BACKUP_URL    = "s3://${module.storage.bucket_names["backups"]}/backups"
    CRYPTOBOT_WEBSERVER_URL = "https://dagster.${var.domain}"
  })
  told = {
    webserver = local.dagster
    daemon    = local.dagster
    code      = merge(local.dagster, local.of_code)
    mlflow = {
      CRYPTOBOT_MLFLOW_ACCESS            = "true"
      CRYPTOBOT_ARTIFACTS_URL            = "s3://${module.storage.bucket_names["artifacts"]}/mlflow"
      MLFLOW_SERVER_ALLOWED_HOSTS        = "mlflow.${local.inside}:${local.table["mlflow"].port},mlflow.${var.domain}"
      MLFLOW_SERVER_CORS_ALLOWED_ORIGINS = "https://mlflow.${var.domain}"
    }
    predictions = merge(local.registry["reader"], {
      CRYPTOBOT_SERVICE_WORKERS = tostring(var.predictions.workers)
    })
    dashboard = merge(local.registry["reader"], {
      CRYPTOBOT_DASHBOARD_HOSTS = "dashboard.${var.domain}"
      CRYPTOBOT_SERVICE_URL     = local.addresses["predictions"]
    })
    metrics = local.registry["reader"]
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
  as       = { for account in keys(local.registry) : account => { MLFLOW_TRACKING_PASSWORD = module.secrets.arns["mlflow_${account}"] } }
  accounts = {
    CRYPTOBOT_MLFLOW_WRITER_PASSWORD = module.secrets.arns["mlflow_writer"]
    CRYPTOBOT_MLFLOW_READER_PASSWORD = module.secrets.arns["mlflow_reader"]
  }
  secrets = {
    webserver   = local.password
    daemon      = local.password
    code        = merge(local.password, local.as["writer"], local.webhook)
    mlflow      = merge(local.password, local.accounts)
    predictions = merge(local.api_key, local.as["reader"])
    dashboard   = merge(local.api_key, local.as["reader"])
    metrics     = merge(local.password, local.as["reader"])
    run         = merge(local.password, local.as["writer"])
  }
}
