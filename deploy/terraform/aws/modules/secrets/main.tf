# One key for what is stored, and one secret for each thing a service is told. Values are drawn while Terraform runs and
# are written without passing through its state; `generation` draws them anew.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  root    = "arn:${data.aws_partition.current.partition}:iam::${local.account}:root"
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:A key's policy names the key alone; without its account the key could be administered by nobody.
  #checkov:skip=CKV_AWS_111:As of the statement's other rule: there is no narrower resource to name.
  #checkov:skip=CKV_AWS_356:In a key's policy "*" is the key.

  statement {
    sid       = "TheAccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [local.root]
    }
  }

  statement {
    sid       = "LogsAreEncrypted"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${data.aws_partition.current.partition}:logs:${local.region}:${local.account}:log-group:*"]
    }
  }

  statement {
    sid       = "AlarmsAreTold"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "What ${var.name} stores"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

ephemeral "random_password" "drawn" {
  for_each = var.drawn

  length  = 48
  special = false
}

resource "aws_secretsmanager_secret" "drawn" {
  #checkov:skip=CKV2_AWS_57:Drawn anew by raising `generation`, because both sides of each change together; see docs/runbook.md.
  for_each = var.drawn

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
}

resource "aws_secretsmanager_secret_version" "drawn" {
  for_each = var.drawn

  secret_id                = aws_secretsmanager_secret.drawn[each.key].id
  secret_string_wo         = ephemeral.random_password.drawn[each.key].result
  secret_string_wo_version = var.generation
}

# What a person has to give (a webhook's address): the secret is made here, its value is put in by hand and stays.
resource "aws_secretsmanager_secret" "given" {
  #checkov:skip=CKV2_AWS_57:Its value comes from another company's page, which alone can change it.
  for_each = var.given

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
}
