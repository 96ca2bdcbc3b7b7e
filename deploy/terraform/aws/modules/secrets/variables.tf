variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "drawn" {
  description = "Secrets that are drawn at random, by name, with what each is for."
  type        = map(string)
}

variable "given" {
  description = "Secrets whose value a person puts in, by name, with what each is for."
  type        = map(string)
}

variable "generation" {
  description = "Raise it to draw all of them anew."
  type        = number
}
