variable "name" {
  description = "Prefix of every name."
  type        = string
  default     = "cryptobot"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Two to twenty small letters, digits and dashes, the first a letter: names of target groups and buckets are made of it."
  }
}

variable "region" {
  description = "Region of AWS, from which the exchange may be asked."
  type        = string
}

variable "image" {
  description = "The platform's image in the repository that this makes, by digest, so that what was checked is what runs."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by digest: REPOSITORY@sha256:..."
  }
}

variable "domain" {
  description = "Domain below which the pages are: dagster., mlflow., dashboard. and api."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain))
    error_message = "A domain in small letters, for example crypto.example.com."
  }
}

variable "zone_id" {
  description = "Route 53 zone that holds the domain."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "The zone's id begins with Z."
  }
}

variable "visitors" {
  description = "Networks whose people and programs may reach the load balancer; everyone else is not answered at all."
  type        = list(string)

  validation {
    condition     = length(var.visitors) > 0 && alltrue([for network in var.visitors : can(cidrhost(network, 0))])
    error_message = "One network at least, each as 203.0.113.0/24; 0.0.0.0/0 for everyone."
  }
}

variable "scrapers" {
  description = "Networks from which a Prometheus of yours may ask `metrics` and `predictions` inside; none by default."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for network in var.scrapers : can(cidrhost(network, 0))])
    error_message = "Each as 10.40.0.0/18."
  }
}

variable "alarm_emails" {
  description = "Who is told of alarms and of the budget."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "One address at least: an alarm that nobody hears is none."
  }
}

variable "monthly_budget_usd" {
  description = "Cost of a month from which people are told."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "More than nothing."
  }
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.40.0.0/16"
}

variable "zones" {
  description = "Two or three availability zones of the region to spread over."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == length(var.zones) && alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "Zones of the region, each once."
  }
}

variable "nat_per_zone" {
  description = "Whether each zone has a NAT gateway of its own."
  type        = bool
  default     = false
}

variable "database" {
  description = "Size and care of the database, which holds bookkeeping alone; `password_timetable` is EventBridge Scheduler's."
  type = object({
    engine_version     = optional(string, "18")
    instance_class     = optional(string, "db.t4g.medium")
    storage_gb         = optional(number, 50)
    storage_limit_gb   = optional(number, 500)
    multi_az           = optional(bool, true)
    backup_days        = optional(number, 14)
    password_timetable = optional(string, "cron(0 4 1 */3 ? *)")
  })
  default = {}

  validation {
    condition     = var.database.backup_days >= 7 && var.database.backup_days <= 35
    error_message = "Backups are kept from 7 to 35 days."
  }

  validation {
    condition     = var.database.storage_limit_gb >= var.database.storage_gb * 1.1
    error_message = "The limit of storage lies at least a tenth above what it begins with."
  }

  validation {
    condition     = tonumber(split(".", var.database.engine_version)[0]) >= 15
    error_message = "PostgreSQL 15 or later; the platform is tested on 18."
  }
}

variable "sizes" {
  description = "CPU units (1024 a processor) and memory of services and of a run, where they differ from the defaults."
  type        = map(object({ cpu = number, memory_mb = number }))
  default     = {}

  validation {
    condition = alltrue([
      for name in keys(var.sizes) :
      contains(["webserver", "daemon", "code", "mlflow", "predictions", "dashboard", "metrics", "run"], name)
    ])
    error_message = "Sizes are of webserver, daemon, code, mlflow, predictions, dashboard, metrics and run."
  }
}

variable "run_disk_gb" {
  description = "Disk of a run, which its caches and spills may fill."
  type        = number
  default     = 50

  validation {
    condition     = var.run_disk_gb >= 21 && var.run_disk_gb <= 200
    error_message = "Fargate gives a task 21 to 200 GiB."
  }
}

variable "predictions" {
  description = "Tasks of the prediction service, least and most, and processes in each."
  type = object({
    least   = optional(number, 2)
    most    = optional(number, 6)
    workers = optional(number, 2)
  })
  default = {}

  validation {
    condition     = var.predictions.least >= 1 && var.predictions.most >= var.predictions.least
    error_message = "At least one task, and no fewer at most than at least."
  }
}

variable "requests_a_minute" {
  description = "Requests a minute of one address, over five minutes, beyond which the firewall refuses it."
  type        = number
  default     = 600

  validation {
    condition     = var.requests_a_minute >= 20
    error_message = "The firewall counts from 100 in five minutes."
  }
}

variable "settings" {
  description = "Further settings of the platform (README.md, Settings), for every service and run; no secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : startswith(name, "CRYPTOBOT_")])
    error_message = "Their names begin with CRYPTOBOT_."
  }
}

variable "alert_webhook" {
  description = "Whether alerts of the platform go to a webhook, whose address you put into the secret NAME/alert_webhook."
  type        = bool
  default     = false
}

variable "mail_port" {
  description = "Port of the mail server that CRYPTOBOT_ALERT_SMTP names; null when alerts are not mailed."
  type        = number
  default     = null

  validation {
    condition     = var.mail_port == null || contains([465, 587], coalesce(var.mail_port, 0))
    error_message = "Encrypted mail goes through 465 or 587."
  }
}

variable "secrets_generation" {
  description = "Raise it to draw the prediction service's key and MLflow's passwords anew."
  type        = number
  default     = 1
}

variable "log_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 365
}

variable "noncurrent_days" {
  description = "Days for which what was deleted or written over in a bucket can be had again."
  type        = number
  default     = 30
}
