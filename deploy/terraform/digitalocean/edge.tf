resource "digitalocean_certificate" "this" {
  name    = var.name
  type    = "lets_encrypt"
  domains = ["${var.host}.${var.domain}"]

  lifecycle {
    create_before_destroy = true
  }
}

resource "digitalocean_loadbalancer" "this" {
  name                   = var.name
  region                 = var.region
  vpc_uuid               = digitalocean_vpc.this.id
  droplet_ids            = [digitalocean_droplet.this.id]
  redirect_http_to_https = true
  # The service ends an idle connection after 60 s.
  http_idle_timeout_seconds = 55

  forwarding_rule {
    entry_protocol   = "https"
    entry_port       = 443
    target_protocol  = "http"
    target_port      = 3000
    certificate_name = digitalocean_certificate.this.name
  }

  healthcheck {
    protocol               = "http"
    port                   = 3000
    path                   = "/readyz"
    check_interval_seconds = 10
  }
}

resource "digitalocean_record" "this" {
  domain = var.domain
  type   = "A"
  name   = var.host
  value  = digitalocean_loadbalancer.this.ip
  ttl    = 300
}

resource "digitalocean_firewall" "this" {
  #checkov:skip=CKV_DIO_4:Names and addresses of registries, the bucket and the exchange change; ports do not.
  name        = var.name
  droplet_ids = [digitalocean_droplet.this.id]

  inbound_rule {
    protocol                  = "tcp"
    port_range                = "3000"
    source_load_balancer_uids = [digitalocean_loadbalancer.this.id]
  }

  inbound_rule {
    protocol         = "tcp"
    port_range       = "22"
    source_addresses = var.administrators
  }

  dynamic "outbound_rule" {
    for_each = { names = ["udp", "53"], https = ["tcp", "443"], time = ["udp", "123"], packages = ["tcp", "80"] }

    content {
      protocol              = outbound_rule.value[0]
      port_range            = outbound_rule.value[1]
      destination_addresses = ["0.0.0.0/0", "::/0"]
    }
  }

  outbound_rule {
    protocol              = "tcp"
    port_range            = tostring(digitalocean_database_cluster.this.port)
    destination_addresses = [digitalocean_vpc.this.ip_range]
  }
}

resource "digitalocean_monitor_alert" "this" {
  for_each = {
    "v1/insights/droplet/cpu"                        = 90
    "v1/insights/droplet/memory_utilization_percent" = 90
    "v1/insights/droplet/disk_utilization_percent"   = 85
  }

  description = "${var.name}: ${each.key} above ${each.value} %"
  type        = each.key
  compare     = "GreaterThan"
  value       = each.value
  window      = "10m"
  enabled     = true
  entities    = [digitalocean_droplet.this.id]

  alerts {
    email = var.alarm_emails
  }
}
