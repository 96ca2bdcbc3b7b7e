# What Dagster's EcsRunLauncher asks of AWS. The daemon starts runs and looks whether they live; whoever may cancel a run
# stops its task; whatever opens the instance asks once whether the run's task definition is there. A run gets the
# daemon's own subnet and security group, which the launcher looks up.

locals {
  run_tasks = "${local.arn_prefix}:task/${var.name}/*"
  in_cluster = {
    test     = "ArnEquals"
    variable = "ecs:cluster"
    values   = [aws_ecs_cluster.this.arn]
  }
  looking = [
    # AWS knows no narrower right for this one.
    { actions = ["ecs:DescribeTaskDefinition"], resources = ["*"], conditions = [] },
  ]
  stopping = [
    { actions = ["ecs:DescribeTasks", "ecs:StopTask"], resources = [local.run_tasks], conditions = [local.in_cluster] },
  ]
  starting = [
    # Nor for this one.
    { actions = ["ec2:DescribeNetworkInterfaces"], resources = ["*"], conditions = [] },
    {
      actions    = ["ecs:RunTask"]
      resources  = ["${local.arn_prefix}:task-definition/${var.name}-run:*"]
      conditions = [local.in_cluster]
    },
    {
      actions    = ["ecs:TagResource"]
      resources  = [local.run_tasks]
      conditions = [{ test = "StringEquals", variable = "ecs:CreateAction", values = ["RunTask"] }]
    },
    {
      actions    = ["iam:PassRole"]
      resources  = [aws_iam_role.execution.arn, aws_iam_role.task["run"].arn]
      conditions = [{ test = "StringEquals", variable = "iam:PassedToService", values = ["ecs-tasks.amazonaws.com"] }]
    },
    {
      actions    = ["logs:GetLogEvents"]
      resources  = ["${aws_cloudwatch_log_group.service["run"].arn}:*"]
      conditions = []
    },
  ]
  launching = {
    daemon    = concat(local.looking, local.stopping, local.starting)
    webserver = concat(local.looking, local.stopping)
    code      = local.looking
    run       = local.looking
  }
}
