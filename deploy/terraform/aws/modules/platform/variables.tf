variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "image" {
  description = "The platform's image, by digest."
  type        = string
}

variable "services" {
  description = "What runs: command (arguments of `cryptobot`), port (0 for none), health (a command that ends with 0), size, how many, environment, secrets (variable to ARN, with `:key::` for a key of it), folders of the home that are shared."
  type = map(object({
    command     = list(string)
    port        = number
    health      = list(string)
    cpu         = number
    memory_mb   = number
    count       = number
    environment = map(string)
    secrets     = map(string)
    folders     = list(string)
  }))
}

variable "run" {
  description = "The task of one Dagster run: as a service, but for what it is told to do."
  type = object({
    cpu         = number
    memory_mb   = number
    disk_gb     = number
    environment = map(string)
    secrets     = map(string)
    folders     = list(string)
  })
}

variable "statements" {
  description = "What each service, and `run`, may do in AWS beside what every task may."
  type = map(list(object({
    actions    = list(string)
    resources  = list(string)
    conditions = optional(list(object({ test = string, variable = string, values = list(string) })), [])
  })))
}

variable "home" {
  description = "CRYPTOBOT_HOME in the image."
  type        = string
}

variable "file_system" {
  description = "Shared files: the file system and, by folder of the home, the access point."
  type = object({
    id            = string
    arn           = string
    access_points = map(object({ id = string, arn = string }))
  })
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security group of each service."
  type        = map(string)
}

variable "target_group_arns" {
  description = "Target group of each service that the load balancer sends to."
  type        = map(string)
}

variable "key_arn" {
  description = "Key of logs and secrets."
  type        = string
}

variable "secret_arns" {
  description = "Every secret that a task may be told at its start."
  type        = list(string)
}

variable "image_repository_arn" {
  description = "Where the image is pulled from."
  type        = string
}

variable "log_days" {
  description = "Days for which logs are kept."
  type        = number
}

variable "most_predictions" {
  description = "Most tasks of the prediction service."
  type        = number
}

variable "password" {
  description = "The database's secret, and the timetable (EventBridge Scheduler's) by which it is changed."
  type        = object({ secret_arn = string, timetable = string })
}
