output "addresses" {
  description = "Where people and programs go."
  value       = module.edge.addresses
}

output "image_repository" {
  description = "Where images are pushed."
  value       = module.storage.image_repository
}

output "buckets" {
  description = "Buckets by what they hold."
  value       = module.storage.bucket_names
}

output "database_host" {
  description = "The database, from inside the network."
  value       = module.database.host
}

output "user_pool_id" {
  description = "Where people are let in: aws cognito-idp admin-create-user --user-pool-id ..."
  value       = module.edge.user_pool_id
}

output "secrets" {
  description = "Secrets by name."
  value       = module.secrets.arns
}

output "alarms" {
  description = "What each alarm means."
  value       = module.watch.alarms
}
