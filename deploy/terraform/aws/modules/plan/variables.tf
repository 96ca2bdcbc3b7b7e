variable "cidr" {
  description = "Addresses of the network, a /16 to a /20."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && can(regex("/(1[6-9]|20)$", var.cidr))
    error_message = "Write a network of a /16 to a /20, for example 10.40.0.0/16."
  }
}

variable "zone_count" {
  description = "Availability zones to spread over."
  type        = number

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "Two or three zones: a load balancer and a standby database need two."
  }
}

variable "sizes" {
  description = "CPU units and memory of each service."
  type        = map(object({ cpu = number, memory_mb = number }))
}
