output "topic_arn" {
  description = "Where alarms go."
  value       = aws_sns_topic.this.arn
}

output "alarms" {
  description = "What each alarm means."
  value       = { for name, alarm in local.alarms : "${var.name}-${name}" => alarm.meaning }
}
