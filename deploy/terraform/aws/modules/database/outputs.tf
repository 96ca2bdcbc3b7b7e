output "host" {
  description = "Name of the server."
  value       = aws_db_instance.this.address
}

output "identifier" {
  description = "Name by which alarms know it."
  value       = aws_db_instance.this.identifier
}

output "username" {
  description = "Who logs in."
  value       = aws_db_instance.this.username
}

output "password_secret_arn" {
  description = "The secret that AWS keeps; its key `password` is the password."
  value       = local.secret_arn
}
