output "bucket_names" {
  description = "Buckets by what they hold: lake, artifacts, backups, logs."
  value       = { for kind, bucket in aws_s3_bucket.this : kind => bucket.bucket }

  # Nobody is told of a bucket before it is closed.
  depends_on = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_policy.private, aws_s3_bucket_policy.logs]
}

output "bucket_arns" {
  description = "The same as ARNs."
  value       = { for kind, bucket in aws_s3_bucket.this : kind => bucket.arn }
}

output "file_system_id" {
  description = "Shared files."
  value       = aws_efs_file_system.this.id

  depends_on = [aws_efs_mount_target.this]
}

output "file_system_arn" {
  description = "Shared files."
  value       = aws_efs_file_system.this.arn
}

output "access_points" {
  description = "Folder of a home and the access point behind it."
  value       = { for folder, point in aws_efs_access_point.this : folder => { id = point.id, arn = point.arn } }
}

output "image_repository" {
  description = "Where images are pushed."
  value       = aws_ecr_repository.this.repository_url
}

output "image_repository_arn" {
  description = "The same as an ARN."
  value       = aws_ecr_repository.this.arn
}
