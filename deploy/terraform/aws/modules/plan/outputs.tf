output "private_subnets" {
  description = "One network a zone for tasks."
  value       = local.private_subnets
}

output "public_subnets" {
  description = "One network a zone for the load balancer and the NAT gateways."
  value       = local.public_subnets
}

output "database_subnets" {
  description = "One network a zone for the database, without a way out."
  value       = local.database_subnets
}

output "sizes" {
  description = "The sizes asked for, each of which Fargate sells."
  value       = var.sizes

  precondition {
    condition     = length(local.not_sold) == 0
    error_message = "Fargate does not sell: ${join(", ", local.not_sold)}."
  }
}
