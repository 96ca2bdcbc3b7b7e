output "key_arn" {
  description = "Key of everything stored."
  value       = aws_kms_key.this.arn
}

output "arns" {
  description = "Secrets by name."
  value       = { for name, secret in merge(aws_secretsmanager_secret.drawn, aws_secretsmanager_secret.given) : name => secret.arn }
}
