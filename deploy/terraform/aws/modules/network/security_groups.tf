# Who may speak to whom: a service is reached on its port by those that need it, and by nobody else.

resource "aws_security_group" "service" {
  #checkov:skip=CKV2_AWS_5:They are attached in the module platform; the rule does not follow an output.
  for_each = var.services

  name        = "${var.name}-${each.key}"
  description = "Tasks of ${each.key}"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_security_group" "edge" {
  #checkov:skip=CKV2_AWS_5:It is attached in the module edge.
  name        = "${var.name}-edge"
  description = "The load balancer, which alone the world can reach"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-edge" }
}

locals {
  group_ids = merge(
    { for name, group in aws_security_group.service : name => group.id },
    { edge = aws_security_group.edge.id },
  )
  calls = merge([
    for name, service in var.services : {
      for caller in service.callers : "${caller}-to-${name}" => { caller = caller, called = name, port = service.port }
    }
  ]...)
}

resource "aws_vpc_security_group_ingress_rule" "call" {
  for_each = local.calls

  security_group_id            = local.group_ids[each.value.called]
  description                  = "From ${each.value.caller}"
  referenced_security_group_id = local.group_ids[each.value.caller]
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "network" {
  for_each = merge([
    for name, service in var.services : { for network in service.networks : "${network}-to-${name}" => merge(service, { called = name, network = network }) }
  ]...)

  security_group_id = local.group_ids[each.value.called]
  description       = "From a network of others"
  cidr_ipv4         = each.value.network
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

# Tasks reach the exchange, AWS and whoever is told of alarms; names and addresses of these change, ports do not.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = var.services

  security_group_id = local.group_ids[each.key]
  description       = "HTTPS to anywhere: the exchange and AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "inside" {
  for_each = local.group_ids

  security_group_id = each.value
  description       = "To the platform itself, whose own rules say what is let in"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = 1024
  to_port           = 65535
}

resource "aws_vpc_security_group_egress_rule" "mail" {
  for_each = toset(var.mail_port == null ? [] : ["code"])

  security_group_id = local.group_ids[each.key]
  description       = "Mail of alerts, encrypted"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = var.mail_port
  to_port           = var.mail_port
}

resource "aws_vpc_security_group_egress_rule" "edge_identity" {
  security_group_id = aws_security_group.edge.id
  description       = "HTTPS to where people log in"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "world" {
  #checkov:skip=CKV_AWS_260:Port 80 only answers with the address at port 443.
  for_each = { for pair in setproduct(var.visitors, [80, 443]) : "${pair[0]}-${pair[1]}" => pair }

  security_group_id = aws_security_group.edge.id
  description       = "Visitors"
  cidr_ipv4         = each.value[0]
  ip_protocol       = "tcp"
  from_port         = each.value[1]
  to_port           = each.value[1]
}
