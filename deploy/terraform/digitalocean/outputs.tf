output "address" {
  description = "Where programs go."
  value       = "https://${var.host}.${var.domain}"
}

output "api_key" {
  description = "Key that the service demands."
  value       = random_password.api_key.result
  sensitive   = true
}

output "settings" {
  description = "What whatever trains has to be told to fill the same database and bucket."
  value = {
    for name in ["CRYPTOBOT_METADATA_URL", "CRYPTOBOT_STORE_URL", "CRYPTOBOT_ARTIFACTS_URL", "AWS_ENDPOINT_URL", "AWS_REGION"] :
    name => local.environment[name]
  }
  sensitive = true
}
