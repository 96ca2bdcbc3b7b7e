variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "key_arn" {
  description = "Key of the messages."
  type        = string
}

variable "emails" {
  description = "Who is told; each confirms once."
  type        = list(string)
}

variable "cluster" {
  description = "The ECS cluster."
  type        = string
}

variable "services" {
  description = "Services of the cluster and how many tasks of each are asked for."
  type        = map(number)
}

variable "load_balancer" {
  description = "The load balancer, as CloudWatch names it."
  type        = string
}

variable "target_groups" {
  description = "Its target groups by service, as CloudWatch names them."
  type        = map(string)
}

variable "database" {
  description = "Identifier of the database and how much storage it began with."
  type        = object({ identifier = string, storage_gb = number })
}

variable "password_machine_arn" {
  description = "State machine that changes the database's password."
  type        = string
}

variable "monthly_budget_usd" {
  description = "Cost of a month from which people are told, and at 80 % of which they are told ahead."
  type        = number
}
