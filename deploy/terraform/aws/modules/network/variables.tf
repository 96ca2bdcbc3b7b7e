variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
}

variable "zones" {
  description = "Availability zones, as many as there are subnets of each tier."
  type        = list(string)
}

variable "private_subnets" {
  description = "Networks of tasks, one a zone."
  type        = list(string)
}

variable "public_subnets" {
  description = "Networks of the load balancer and of NAT, one a zone."
  type        = list(string)
}

variable "database_subnets" {
  description = "Networks of the database, one a zone; no way out."
  type        = list(string)
}

variable "nat_per_zone" {
  description = "Whether each zone has a NAT gateway of its own; with one for all, the loss of its zone cuts the exchange off."
  type        = bool
}

variable "key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string
}

variable "log_days" {
  description = "Days for which flow logs are kept."
  type        = number
}

variable "services" {
  description = "Port of each service, 0 for none, and who calls it: names of services, `edge`, and networks of others."
  type        = map(object({ port = number, callers = list(string), networks = list(string) }))
}

variable "visitors" {
  description = "Networks whose people may reach the load balancer."
  type        = list(string)
}

variable "mail_port" {
  description = "Port of the mail server that alerts go through (465 or 587); null for none."
  type        = number
}
