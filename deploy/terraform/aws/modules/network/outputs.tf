output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets of tasks."
  value       = aws_subnet.private[*].id
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer."
  value       = aws_subnet.public[*].id
}

output "database_subnet_ids" {
  description = "Subnets of the database."
  value       = aws_subnet.database[*].id
}

output "security_group_ids" {
  description = "Security groups by service, and of `edge`."
  value       = local.group_ids
}
