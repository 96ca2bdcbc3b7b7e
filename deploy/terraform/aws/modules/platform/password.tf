# The database's password: changed by AWS when this asks, and every task that was told the old one started anew. Open
# connections live on meanwhile; what connects in between is tried again.

locals {
  with_password = sort([for name, service in var.services : name if contains(keys(service.secrets), "PGPASSWORD")])

  # A version that is pending and not yet the current one is a change under way.
  changing = "{% $count($each($states.result.VersionIdsToStages, function($stages) { 'AWSPENDING' in $stages and $not('AWSCURRENT' in $stages) ? true })) > 0 %}"
}

resource "aws_sfn_state_machine" "password" {
  #checkov:skip=CKV_AWS_284:It is in the log, which is where one looks; traces would add nothing to two calls.
  name     = "${var.name}-password"
  role_arn = aws_iam_role.password.arn

  definition = jsonencode({
    Comment       = "Change the database's password, then start anew what was told the old one"
    QueryLanguage = "JSONata"
    StartAt       = "Change"
    States = {
      Change = {
        Type      = "Task"
        Resource  = "arn:aws:states:::aws-sdk:secretsmanager:rotateSecret"
        Arguments = { SecretId = var.password.secret_arn, RotateImmediately = true }
        Assign    = { services = "{% $states.context.Execution.Input.services %}" }
        Next      = "Wait"
      }
      Wait = { Type = "Wait", Seconds = 30, Next = "Look" }
      Look = {
        Type      = "Task"
        Resource  = "arn:aws:states:::aws-sdk:secretsmanager:describeSecret"
        Arguments = { SecretId = var.password.secret_arn }
        Output    = { changing = local.changing }
        Next      = "Changed"
      }
      Changed = {
        Type    = "Choice"
        Choices = [{ Condition = "{% $states.input.changing %}", Next = "Wait" }]
        Default = "StartAnew"
      }
      StartAnew = {
        Type  = "Map"
        Items = "{% $services %}"
        ItemProcessor = {
          StartAt = "Service"
          States = {
            Service = {
              Type      = "Task"
              Resource  = "arn:aws:states:::aws-sdk:ecs:updateService"
              Arguments = { Cluster = aws_ecs_cluster.this.name, Service = "{% $states.input %}", ForceNewDeployment = true }
              End       = true
            }
          }
        }
        End = true
      }
    }
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.password.arn}:*"
  }
}

resource "aws_cloudwatch_log_group" "password" {
  name              = "/aws/vendedlogs/states/${var.name}-password"
  retention_in_days = var.log_days
  kms_key_id        = var.key_arn
}

resource "aws_scheduler_schedule" "password" {
  name                         = "${var.name}-password"
  kms_key_arn                  = var.key_arn
  schedule_expression          = var.password.timetable
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.password.arn
    role_arn = aws_iam_role.password.arn
    input    = jsonencode({ services = local.with_password })
  }
}

data "aws_iam_policy_document" "password_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com", "scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "password" {
  name               = "${var.name}-password"
  assume_role_policy = data.aws_iam_policy_document.password_trust.json
}

data "aws_iam_policy_document" "password" {
  statement {
    actions   = ["secretsmanager:RotateSecret", "secretsmanager:DescribeSecret"]
    resources = [var.password.secret_arn]
  }

  statement {
    actions   = ["ecs:UpdateService"]
    resources = [for name in local.with_password : "${local.arn_prefix}:service/${var.name}/${name}"]
  }

  statement {
    actions   = ["states:StartExecution"]
    resources = ["arn:${data.aws_partition.current.partition}:states:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:stateMachine:${var.name}-password"]
  }

  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.key_arn]
  }

  statement {
    #checkov:skip=CKV_AWS_356:AWS knows no narrower right for sending logs.
    #checkov:skip=CKV_AWS_111:As of the statement's other rule: there is no narrower resource to name.
    actions = [
      "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
      "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "password" {
  name   = "change-password"
  role   = aws_iam_role.password.id
  policy = data.aws_iam_policy_document.password.json
}
