# The one door: TLS, then a login for whatever people look at. The prediction service is asked by programs, with its keys.

locals {
  services   = merge(var.pages, { predictions = { host = var.api.host, port = var.api.port, health = var.api.health } })
  host_names = { for name, service in local.services : name => "${service.host}.${var.domain}" }
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_76:It has the list of bad inputs; the other list the rule wants refuses every cloud, from which programs call.
  #checkov:skip=CKV2_AWS_20:It redirects port 80 to 443; the rule does not follow the separate listener.
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = var.subnet_ids
  security_groups            = [var.security_group_id]
  drop_invalid_header_fields = true
  enable_deletion_protection = true
  # BentoML ends an idle connection after 60 s: the side that opened it must be the first to end it.
  idle_timeout = 55

  access_logs {
    bucket  = var.log_bucket
    prefix  = "edge"
    enabled = true
  }
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; between it and the task stand security groups.
  for_each = local.services

  name                 = "${var.name}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  port                 = each.value.port
  protocol             = "HTTP"
  deregistration_delay = 60

  health_check {
    path                = each.value.health
    matcher             = "200"
    interval            = 15
    timeout             = 10
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  # A page of Streamlit lives in the process that drew it.
  stickiness {
    type    = "lb_cookie"
    enabled = each.key == "dashboard"
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  # A name that is not one of ours is nothing.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "Not found"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "page" {
  for_each = var.pages

  listener_arn = aws_lb_listener.https.arn

  action {
    type  = "authenticate-cognito"
    order = 1

    authenticate_cognito {
      user_pool_arn              = aws_cognito_user_pool.this.arn
      user_pool_client_id        = aws_cognito_user_pool_client.this.id
      user_pool_domain           = aws_cognito_user_pool_domain.this.domain
      on_unauthenticated_request = "authenticate"
      session_timeout            = 43200
    }
  }

  action {
    type             = "forward"
    order            = 2
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }

  condition {
    host_header {
      values = [local.host_names[each.key]]
    }
  }
}

# A rule holds five values in all, one of which is the name. Metrics are not let through: they are for inside.
resource "aws_lb_listener_rule" "api" {
  for_each = { for index, paths in chunklist(var.api.paths, 4) : index => paths }

  listener_arn = aws_lb_listener.https.arn

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["predictions"].arn
  }

  condition {
    host_header {
      values = [local.host_names["predictions"]]
    }
  }

  condition {
    path_pattern {
      values = each.value
    }
  }
}
