data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["${local.arn_prefix}:*"]
    }
  }
}

# What AWS itself needs to start a task: the image, its secrets and its log.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

data "aws_iam_policy_document" "execution" {
  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    resources = [var.image_repository_arn]
  }

  statement {
    #checkov:skip=CKV_AWS_356:A token of the registry belongs to no resource.
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in aws_cloudwatch_log_group.service : "${group.arn}:*"]
  }

  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = var.secret_arns
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [var.key_arn]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start-tasks"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# What the code in each task may do.
resource "aws_iam_role" "task" {
  for_each = local.all

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

locals {
  folders = merge({ for name, service in var.services : name => service.folders }, { run = var.run.folders })
  permissions = {
    for name in local.all : name => concat(
      lookup(var.statements, name, []),
      length(local.folders[name]) == 0 ? [] : [{
        actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        resources = [var.file_system.arn]
        conditions = [{
          test     = "StringEquals"
          variable = "elasticfilesystem:AccessPointArn"
          values   = [for folder in local.folders[name] : var.file_system.access_points[folder].arn]
        }]
      }],
      lookup(local.launching, name, []),
    )
  }
}

data "aws_iam_policy_document" "task" {
  for_each = { for name, statements in local.permissions : name => statements if length(statements) > 0 }

  dynamic "statement" {
    for_each = each.value

    content {
      actions   = statement.value.actions
      resources = statement.value.resources

      dynamic "condition" {
        for_each = statement.value.conditions

        content {
          test     = condition.value.test
          variable = condition.value.variable
          values   = condition.value.values
        }
      }
    }
  }
}

resource "aws_iam_role_policy" "task" {
  for_each = data.aws_iam_policy_document.task

  name   = each.key
  role   = aws_iam_role.task[each.key].id
  policy = each.value.json
}
