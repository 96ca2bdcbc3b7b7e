# The prediction service on a machine of its own behind a load balancer with TLS, over a managed PostgreSQL and a bucket.
# Whatever trains (`cryptobot up` elsewhere) names the same databases and artifacts. The store is PostgreSQL, because a lake
# needs a bucket with conditional puts, which Spaces does not promise.

locals {
  endpoint = "https://${var.region}.digitaloceanspaces.com"
  server   = "${digitalocean_database_cluster.this.user}:${digitalocean_database_cluster.this.password}@${digitalocean_database_cluster.this.private_host}:${digitalocean_database_cluster.this.port}"
  environment = {
    CRYPTOBOT_HOME             = "/var/lib/cryptobot"
    CRYPTOBOT_STORE_URL        = "postgresql://${local.server}/cryptobot?sslmode=require"
    CRYPTOBOT_ARTIFACTS_URL    = "s3://${digitalocean_spaces_bucket.this.name}/mlflow"
    CRYPTOBOT_BUCKET           = digitalocean_spaces_bucket.this.name
    CRYPTOBOT_METADATA_URL     = "postgresql://${local.server}/defaultdb?sslmode=require"
    CRYPTOBOT_DAGSTER_DATABASE = "postgresql+psycopg2://${local.server}/cryptobot_dagster?sslmode=require"
    CRYPTOBOT_API_KEY          = random_password.api_key.result
    CRYPTOBOT_SERVICE_WORKERS  = tostring(var.workers)
    AWS_ENDPOINT_URL           = local.endpoint
    AWS_REGION                 = var.region
    AWS_ACCESS_KEY_ID          = var.spaces_key_id
    AWS_SECRET_ACCESS_KEY      = var.spaces_secret
    DAGSTER_EVENT_BATCH_SIZE   = "1000"
  }
}

resource "random_password" "api_key" {
  length  = 48
  special = false
}

resource "digitalocean_vpc" "this" {
  name   = var.name
  region = var.region
}

resource "digitalocean_database_cluster" "this" {
  name                 = var.name
  engine               = "pg"
  version              = "17"
  size                 = var.database_size
  region               = var.region
  node_count           = var.database_standby ? 2 : 1
  private_network_uuid = digitalocean_vpc.this.id

  maintenance_window {
    day  = "sunday"
    hour = "05:00:00"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "digitalocean_database_db" "platform" {
  for_each = toset(["cryptobot", "cryptobot_dagster", "cryptobot_mlflow"])

  cluster_id = digitalocean_database_cluster.this.id
  name       = each.key
}

# By default the whole world may try passwords; here the machine alone may.
resource "digitalocean_database_firewall" "this" {
  cluster_id = digitalocean_database_cluster.this.id

  rule {
    type  = "droplet"
    value = digitalocean_droplet.this.id
  }
}

resource "digitalocean_spaces_bucket" "this" {
  name   = "${var.name}-${replace(var.domain, ".", "-")}"
  region = var.region
  acl    = "private"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    id                                     = "forget"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 7

    noncurrent_version_expiration {
      days = 30
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "digitalocean_volume" "home" {
  name                    = "${var.name}-home"
  region                  = var.region
  size                    = var.home_gb
  initial_filesystem_type = "ext4"

  lifecycle {
    prevent_destroy = true
  }
}

resource "digitalocean_droplet" "this" {
  #checkov:skip=CKV_DIO_2:One key at least is demanded of the variable.
  name       = var.name
  region     = var.region
  size       = var.size
  image      = "debian-12-x64"
  vpc_uuid   = digitalocean_vpc.this.id
  ssh_keys   = var.ssh_keys
  volume_ids = [digitalocean_volume.home.id]
  monitoring = true
  backups    = true
  user_data = templatefile("${path.module}/machine.yaml", {
    image       = var.image
    command     = jsondecode(file("${path.module}/../../services.json"))["predictions"].command
    port        = jsondecode(file("${path.module}/../../services.json"))["predictions"].port
    volume      = digitalocean_volume.home.name
    environment = local.environment
  })
}
