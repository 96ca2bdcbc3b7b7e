variable "name" {
  description = "Prefix of every name."
  type        = string
  default     = "cryptobot"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Two to twenty small letters, digits and dashes, the first a letter."
  }
}

variable "region" {
  description = "Region of DigitalOcean that has Spaces."
  type        = string
  default     = "fra1"
}

variable "image" {
  description = "The platform's image by digest, in a registry that the machine may pull from."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by digest: REPOSITORY@sha256:..."
  }
}

variable "domain" {
  description = "Domain that DigitalOcean's name servers answer for."
  type        = string
}

variable "host" {
  description = "Name of the service below the domain."
  type        = string
  default     = "api"
}

variable "ssh_keys" {
  description = "Fingerprints of the keys with which the machine may be entered."
  type        = list(string)

  validation {
    condition     = length(var.ssh_keys) > 0
    error_message = "One key at least: passwords are not accepted."
  }
}

variable "administrators" {
  description = "Networks from which the machine may be entered."
  type        = list(string)

  validation {
    condition     = alltrue([for network in var.administrators : can(cidrhost(network, 0)) && network != "0.0.0.0/0"])
    error_message = "Networks as 203.0.113.0/24, and not the whole world."
  }
}

variable "size" {
  description = "Size of the machine."
  type        = string
  default     = "s-2vcpu-4gb"
}

variable "database_size" {
  description = "Size of the database."
  type        = string
  default     = "db-s-1vcpu-2gb"
}

variable "database_standby" {
  description = "Whether a second database takes over."
  type        = bool
  default     = false
}

variable "home_gb" {
  description = "Disk of what the service keeps: models it serves, predictions on their way to the store."
  type        = number
  default     = 20
}

variable "workers" {
  description = "Processes of the service."
  type        = number
  default     = 2
}

variable "alarm_emails" {
  description = "Who is told when the machine is short of something."
  type        = list(string)
}

variable "spaces_key_id" {
  description = "Access key of Spaces for the platform, limited to the bucket."
  type        = string
  sensitive   = true
}

variable "spaces_secret" {
  description = "Its secret."
  type        = string
  sensitive   = true
}
