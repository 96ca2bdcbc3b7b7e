# What services and runs hand each other as files: predictions on their way to the store, trials of a tuning that was
# cut short, report pages. Everything else of a home is the task's own and ends with it.

locals {
  shared = toset(["served", "tuning", "reports"])
}

resource "aws_efs_file_system" "this" {
  encrypted        = true
  kms_key_id       = var.key_arn
  performance_mode = "generalPurpose"
  throughput_mode  = "elastic"

  tags = { Name = var.name }

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "ENABLED"
  }
}

data "aws_iam_policy_document" "files" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["elasticfilesystem:*"]
    resources = [aws_efs_file_system.this.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id
  policy         = data.aws_iam_policy_document.files.json
}

resource "aws_efs_access_point" "this" {
  for_each = local.shared

  file_system_id = aws_efs_file_system.this.id

  posix_user {
    uid = var.owner_id
    gid = var.owner_id
  }

  root_directory {
    path = "/${each.key}"

    creation_info {
      owner_uid   = var.owner_id
      owner_gid   = var.owner_id
      permissions = "0700"
    }
  }

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_security_group" "files" {
  name        = "${var.name}-files"
  description = "Shared files, for the tasks of the platform alone"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-files" }
}

resource "aws_vpc_security_group_ingress_rule" "files" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.files.id
  description                  = "NFS from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "this" {
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.files.id]
}
