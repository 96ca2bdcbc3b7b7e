output "target_group_arns" {
  description = "Target group of each service behind the door."
  value       = { for name, group in aws_lb_target_group.this : name => group.arn }

  # A service may only be put behind a group that a listener knows.
  depends_on = [aws_lb_listener_rule.page, aws_lb_listener_rule.api]
}

output "addresses" {
  description = "Where people and programs go."
  value       = { for name, host in local.host_names : name => "https://${host}" }
}

output "load_balancer" {
  description = "The name by which alarms know the load balancer."
  value       = aws_lb.this.arn_suffix
}

output "target_groups" {
  description = "Names by which alarms know the target groups."
  value       = { for name, group in aws_lb_target_group.this : name => group.arn_suffix }
}

output "user_pool_id" {
  description = "Where people are let in."
  value       = aws_cognito_user_pool.this.id
}
