variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "domain" {
  description = "Domain below which the pages are: dagster., mlflow., dashboard. and api."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of the domain."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the load balancer."
  type        = string
}

variable "log_bucket" {
  description = "Bucket of the access logs."
  type        = string
}

variable "pages" {
  description = "Services that people look at, behind a login: name below the domain, port and the path that tells they are well."
  type        = map(object({ host = string, port = number, health = string }))
}

variable "api" {
  description = "The prediction service, which demands a key of its own: name below the domain, port, the path that tells it is ready, and the paths that are let through."
  type        = object({ host = string, port = number, health = string, paths = list(string) })
}

variable "requests_a_minute" {
  description = "Requests of one address in five minutes, divided by five, beyond which it is refused."
  type        = number
}

variable "key_arn" {
  description = "Key of the firewall's log."
  type        = string
}

variable "log_days" {
  description = "Days for which the firewall's log is kept."
  type        = number
}
