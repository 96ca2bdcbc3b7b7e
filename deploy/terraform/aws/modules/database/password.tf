# AWS makes, keeps and changes the password, so that it is in nobody's state or hands. Tasks are told it when they start:
# the platform's own timetable (module platform) changes it and starts the tasks anew, and this one lies further off than
# that ever does. Without it AWS would change the password every week, beside running tasks.

locals {
  secret_arn = aws_db_instance.this.master_user_secret[0].secret_arn
}

resource "aws_secretsmanager_secret_rotation" "backstop" {
  #checkov:skip=CKV_AWS_304:The platform's timetable changes it every three months; this is what remains should that be taken away.
  secret_id          = local.secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.password_days
  }
}
