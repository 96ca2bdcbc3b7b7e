locals {
  # A home is writable and the task's own, but for the folders that are shared; the rest of the file system is read-only.
  mounts = {
    for name, folders in merge({ for name, service in var.services : name => service.folders }, { run = var.run.folders }) :
    name => concat(
      [
        { sourceVolume = "home", containerPath = var.home, readOnly = false },
        { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      ],
      [for folder in folders : { sourceVolume = folder, containerPath = "${var.home}/${folder}", readOnly = false }],
    )
  }
  container = {
    for name in local.all : name => {
      image                  = var.image
      essential              = true
      user                   = "10001:10001"
      readonlyRootFilesystem = true
      mountPoints            = local.mounts[name]
      stopTimeout            = 120
      linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = aws_cloudwatch_log_group.service[name].name
          "awslogs-region"        = data.aws_region.current.region
          "awslogs-stream-prefix" = name
        }
      }
    }
  }
}

resource "aws_ecs_task_definition" "service" {
  for_each = var.services

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory_mb
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.key].arn

  container_definitions = jsonencode([merge(
    local.container[each.key],
    {
      name         = each.key
      entryPoint   = ["cryptobot"]
      command      = each.value.command
      environment  = [for name, value in each.value.environment : { name = name, value = value }]
      secrets      = [for name, arn in each.value.secrets : { name = name, valueFrom = arn }]
      portMappings = each.value.port == 0 ? [] : [{ containerPort = each.value.port, protocol = "tcp" }]
      healthCheck = {
        command     = concat(["CMD"], each.value.health)
        interval    = 60
        timeout     = 30
        retries     = 3
        startPeriod = 180
      }
    },
  )])

  volume {
    name = "home"
  }

  volume {
    name = "tmp"
  }

  dynamic "volume" {
    for_each = toset(each.value.folders)

    content {
      name = volume.key

      efs_volume_configuration {
        file_system_id     = var.file_system.id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = var.file_system.access_points[volume.key].id
          iam             = "ENABLED"
        }
      }
    }
  }
}

# EcsRunLauncher starts it with the run's own command, `dagster api execute_run ...`, which follows the entry point.
resource "aws_ecs_task_definition" "run" {
  family                   = "${var.name}-run"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.run.cpu
  memory                   = var.run.memory_mb
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task["run"].arn

  container_definitions = jsonencode([merge(
    local.container["run"],
    {
      name        = "run"
      entryPoint  = ["cryptobot"]
      command     = ["--help"]
      environment = [for name, value in var.run.environment : { name = name, value = value }]
      secrets     = [for name, arn in var.run.secrets : { name = name, valueFrom = arn }]
    },
  )])

  ephemeral_storage {
    size_in_gib = var.run.disk_gb
  }

  volume {
    name = "home"
  }

  volume {
    name = "tmp"
  }

  dynamic "volume" {
    for_each = toset(var.run.folders)

    content {
      name = volume.key

      efs_volume_configuration {
        file_system_id     = var.file_system.id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = var.file_system.access_points[volume.key].id
          iam             = "ENABLED"
        }
      }
    }
  }
}
