locals {
  # Two daemons, two code servers or two registries would do the same work twice or write over each other: the old one ends
  # before the new one starts. The others are never fewer than asked for.
  one_at_a_time = toset(["daemon", "code", "mlflow"])
}

resource "aws_ecs_service" "this" {
  for_each = var.services

  name                               = each.key
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.service[each.key].arn
  desired_count                      = each.value.count
  launch_type                        = "FARGATE"
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  enable_execute_command             = false
  wait_for_steady_state              = true
  deployment_minimum_healthy_percent = contains(local.one_at_a_time, each.key) ? 0 : 100
  deployment_maximum_percent         = contains(local.one_at_a_time, each.key) ? 100 : 200
  health_check_grace_period_seconds  = contains(keys(var.target_group_arns), each.key) ? 300 : null

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_ids[each.key]]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "service_registries" {
    for_each = each.value.port > 0 ? [aws_service_discovery_service.this[each.key].arn] : []

    content {
      registry_arn = service_registries.value
    }
  }

  dynamic "load_balancer" {
    for_each = contains(keys(var.target_group_arns), each.key) ? [var.target_group_arns[each.key]] : []

    content {
      target_group_arn = load_balancer.value
      container_name   = each.key
      container_port   = each.value.port
    }
  }

  # `count` is what a service begins with; from then on scaling decides, or a person.
  lifecycle {
    ignore_changes = [desired_count]
  }
}

# The prediction service alone has more to do when more is asked of it.
resource "aws_appautoscaling_target" "predictions" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this["predictions"].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.services["predictions"].count
  max_capacity       = var.most_predictions
}

resource "aws_appautoscaling_policy" "predictions" {
  name               = "${var.name}-predictions"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.predictions.service_namespace
  resource_id        = aws_appautoscaling_target.predictions.resource_id
  scalable_dimension = aws_appautoscaling_target.predictions.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
