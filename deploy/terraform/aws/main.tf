locals {
  group_ids = module.network.security_group_ids
}

module "plan" {
  source = "./modules/plan"

  cidr       = var.cidr
  zone_count = length(var.zones)
  sizes      = local.sizes
}

module "secrets" {
  source = "./modules/secrets"

  name = var.name
  drawn = {
    api_key       = "Key that the prediction service demands"
    mlflow_writer = "Password of MLflow's account that trains and promotes"
    mlflow_reader = "Password of MLflow's account that changes nothing"
  }
  given      = var.alert_webhook ? { alert_webhook = "Address to which alerts are posted" } : {}
  generation = var.secrets_generation
}

module "network" {
  source = "./modules/network"

  name             = var.name
  cidr             = var.cidr
  zones            = var.zones
  private_subnets  = module.plan.private_subnets
  public_subnets   = module.plan.public_subnets
  database_subnets = module.plan.database_subnets
  nat_per_zone     = var.nat_per_zone
  key_arn          = module.secrets.key_arn
  log_days         = var.log_days
  visitors         = var.visitors
  mail_port        = var.mail_port
  services = {
    for name, callers in local.callers : name => {
      port     = local.table[name].port
      callers  = callers
      networks = contains(local.scraped, name) ? var.scrapers : []
    }
  }
}

module "database" {
  source = "./modules/database"

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.database_subnet_ids
  client_security_group_ids = { for name in local.bookkeepers : name => local.group_ids[name] }
  key_arn                   = module.secrets.key_arn
  engine_version            = var.database.engine_version
  instance_class            = var.database.instance_class
  storage_gb                = var.database.storage_gb
  storage_limit_gb          = var.database.storage_limit_gb
  multi_az                  = var.database.multi_az
  backup_days               = var.database.backup_days
  password_days             = 1000
  log_days                  = var.log_days
}

module "storage" {
  source = "./modules/storage"

  name            = var.name
  key_arn         = module.secrets.key_arn
  vpc_id          = module.network.vpc_id
  subnet_ids      = module.network.private_subnet_ids
  noncurrent_days = var.noncurrent_days
  owner_id        = 10001
  client_security_group_ids = {
    for name in ["code", "daemon", "predictions", "metrics"] : name => local.group_ids[name]
  }
}

module "edge" {
  source = "./modules/edge"

  name              = var.name
  domain            = var.domain
  zone_id           = var.zone_id
  vpc_id            = module.network.vpc_id
  subnet_ids        = module.network.public_subnet_ids
  security_group_id = local.group_ids["edge"]
  log_bucket        = module.storage.bucket_names["logs"]
  requests_a_minute = var.requests_a_minute
  key_arn           = module.secrets.key_arn
  log_days          = var.log_days
  pages = {
    webserver = { host = "dagster", port = local.table["webserver"].port, health = "/server_info" }
    mlflow    = { host = "mlflow", port = local.table["mlflow"].port, health = "/health" }
    dashboard = { host = "dashboard", port = local.table["dashboard"].port, health = "/_stcore/health" }
  }
  api = {
    host   = "api"
    port   = local.table["predictions"].port
    health = "/readyz"
    paths  = ["/", "/predict*", "/rank", "/models", "/openapi.json", "/livez", "/readyz"]
  }
}

module "platform" {
  source = "./modules/platform"

  name  = var.name
  image = var.image
  home  = local.home
  services = {
    for name, service in local.table : name => {
      command     = service.command
      port        = service.port
      health      = service.health
      cpu         = module.plan.sizes[name].cpu
      memory_mb   = module.plan.sizes[name].memory_mb
      count       = local.counts[name]
      environment = local.environment[name]
      secrets     = local.secrets[name]
      folders     = local.folders[name]
    }
  }
  run = {
    cpu         = module.plan.sizes["run"].cpu
    memory_mb   = module.plan.sizes["run"].memory_mb
    disk_gb     = var.run_disk_gb
    environment = local.environment["run"]
    secrets     = local.secrets["run"]
    folders     = local.folders["run"]
  }
  statements           = local.statements
  most_predictions     = var.predictions.most
  password             = { secret_arn = module.database.password_secret_arn, timetable = var.database.password_timetable }
  secret_arns          = concat(values(module.secrets.arns), [module.database.password_secret_arn])
  key_arn              = module.secrets.key_arn
  image_repository_arn = module.storage.image_repository_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  security_group_ids   = local.group_ids
  target_group_arns    = module.edge.target_group_arns
  log_days             = var.log_days
  file_system = {
    id            = module.storage.file_system_id
    arn           = module.storage.file_system_arn
    access_points = module.storage.access_points
  }
}

module "watch" {
  source = "./modules/watch"

  name                 = var.name
  key_arn              = module.secrets.key_arn
  emails               = var.alarm_emails
  cluster              = module.platform.cluster
  services             = local.counts
  load_balancer        = module.edge.load_balancer
  target_groups        = module.edge.target_groups
  database             = { identifier = module.database.identifier, storage_gb = var.database.storage_gb }
  password_machine_arn = module.platform.password_machine_arn
  monthly_budget_usd   = var.monthly_budget_usd
}
