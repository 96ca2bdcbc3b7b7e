variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets without a way out, in two zones at least."
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "Who may connect, by name."
  type        = map(string)
}

variable "key_arn" {
  description = "Key of the storage, its backups, its password and its logs."
  type        = string
}

variable "engine_version" {
  description = "Major version of PostgreSQL; minor ones come by themselves."
  type        = string
}

variable "instance_class" {
  description = "Size of the machine."
  type        = string
}

variable "storage_gb" {
  description = "Storage to begin with."
  type        = number
}

variable "storage_limit_gb" {
  description = "Storage up to which it grows by itself."
  type        = number
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over."
  type        = bool
}

variable "backup_days" {
  description = "Days to any second of which the database can be put back."
  type        = number
}

variable "password_days" {
  description = "Days after which AWS changes the password by itself."
  type        = number
}

variable "log_days" {
  description = "Days for which the server's log is kept."
  type        = number
}
