locals {
  # Each alarm: which figure, of what, for how many minutes on which side of which limit, and what it means.
  # docs/runbook.md tells for every `meaning` what to do.
  for_services = {
    for name, count in var.services : "${name}-tasks" => {
      namespace  = "ECS/ContainerInsights"
      metric     = "RunningTaskCount"
      statistic  = "Minimum"
      dimensions = { ClusterName = var.cluster, ServiceName = name }
      below      = true
      limit      = count
      minutes    = 10
      missing    = "breaching"
      meaning    = "Fewer tasks of ${name} run than are asked for"
    }
  }
  for_memory = {
    for name, count in var.services : "${name}-memory" => {
      namespace  = "AWS/ECS"
      metric     = "MemoryUtilization"
      statistic  = "Maximum"
      dimensions = { ClusterName = var.cluster, ServiceName = name }
      below      = false
      limit      = 90
      minutes    = 10
      missing    = "notBreaching"
      meaning    = "A task of ${name} has little memory left"
    }
  }
  for_targets = {
    for name, group in var.target_groups : "${name}-unhealthy" => {
      namespace  = "AWS/ApplicationELB"
      metric     = "UnHealthyHostCount"
      statistic  = "Maximum"
      dimensions = { LoadBalancer = var.load_balancer, TargetGroup = group }
      below      = false
      limit      = 1
      minutes    = 10
      missing    = "notBreaching"
      meaning    = "A task of ${name} does not answer its health check"
    }
  }
  others = {
    predictions-errors = {
      namespace  = "AWS/ApplicationELB"
      metric     = "HTTPCode_Target_5XX_Count"
      statistic  = "Sum"
      dimensions = { LoadBalancer = var.load_balancer, TargetGroup = var.target_groups["predictions"] }
      below      = false
      limit      = 10
      minutes    = 5
      missing    = "notBreaching"
      meaning    = "The prediction service answers with errors"
    }
    predictions-slow = {
      namespace  = "AWS/ApplicationELB"
      metric     = "TargetResponseTime"
      statistic  = "p99"
      dimensions = { LoadBalancer = var.load_balancer, TargetGroup = var.target_groups["predictions"] }
      below      = false
      limit      = 1
      minutes    = 15
      missing    = "notBreaching"
      meaning    = "One prediction of a hundred takes more than a second"
    }
    edge-errors = {
      namespace  = "AWS/ApplicationELB"
      metric     = "HTTPCode_ELB_5XX_Count"
      statistic  = "Sum"
      dimensions = { LoadBalancer = var.load_balancer }
      below      = false
      limit      = 10
      minutes    = 5
      missing    = "notBreaching"
      meaning    = "The load balancer finds nobody to answer"
    }
    database-processor = {
      namespace  = "AWS/RDS"
      metric     = "CPUUtilization"
      statistic  = "Average"
      dimensions = { DBInstanceIdentifier = var.database.identifier }
      below      = false
      limit      = 85
      minutes    = 30
      missing    = "breaching"
      meaning    = "The database has been busy for half an hour, or is away"
    }
    database-storage = {
      namespace  = "AWS/RDS"
      metric     = "FreeStorageSpace"
      statistic  = "Minimum"
      dimensions = { DBInstanceIdentifier = var.database.identifier }
      below      = true
      limit      = var.database.storage_gb * 1073741824 * 0.1
      minutes    = 15
      missing    = "breaching"
      meaning    = "The database's storage is nearly full"
    }
    database-memory = {
      namespace  = "AWS/RDS"
      metric     = "FreeableMemory"
      statistic  = "Minimum"
      dimensions = { DBInstanceIdentifier = var.database.identifier }
      below      = true
      limit      = 134217728
      minutes    = 15
      missing    = "breaching"
      meaning    = "The database has less than 128 MiB of memory left"
    }
    password = {
      namespace  = "AWS/States"
      metric     = "ExecutionsFailed"
      statistic  = "Sum"
      dimensions = { StateMachineArn = var.password_machine_arn }
      below      = false
      limit      = 1
      minutes    = 5
      missing    = "notBreaching"
      meaning    = "The database's password was not changed, or services were not started anew after it"
    }
  }
  alarms = merge(local.for_services, local.for_memory, local.for_targets, local.others)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.meaning
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  dimensions          = each.value.dimensions
  comparison_operator = each.value.below ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = each.value.limit
  # A count is summed over the minutes; everything else has to hold in each of them.
  period             = each.value.statistic == "Sum" ? 60 * each.value.minutes : 60
  evaluation_periods = each.value.statistic == "Sum" ? 1 : each.value.minutes
  treat_missing_data = each.value.missing
  alarm_actions      = [aws_sns_topic.this.arn]
  ok_actions         = [aws_sns_topic.this.arn]
}
