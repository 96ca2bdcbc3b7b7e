variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "key_arn" {
  description = "Key of buckets, files and images."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets from which files are reached, one a zone."
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "Who may reach the files, by name."
  type        = map(string)
}

variable "noncurrent_days" {
  description = "Days for which what was deleted or written over in a bucket can be had again."
  type        = number
}

variable "owner_id" {
  description = "User and group number of the image's user."
  type        = number
}
