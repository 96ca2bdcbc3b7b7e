output "cluster" {
  description = "The cluster."
  value       = aws_ecs_cluster.this.name
}

output "namespace" {
  description = "Domain of the services inside the network."
  value       = aws_service_discovery_private_dns_namespace.this.name
}

output "run_task_definition" {
  description = "Family of the task that one Dagster run is."
  value       = aws_ecs_task_definition.run.family
}

output "password_machine_arn" {
  description = "State machine that changes the database's password."
  value       = aws_sfn_state_machine.password.arn
}

output "role_arns" {
  description = "Role of each service's tasks."
  value       = { for name, role in aws_iam_role.task : name => role.arn }
}
