# terraform -chdir=deploy/terraform/aws/modules/plan test

variables {
  cidr       = "10.40.0.0/16"
  zone_count = 3
  sizes      = { service = { cpu = 1024, memory_mb = 4096 } }
}

run "subnets_lie_apart" {
  command = plan

  assert {
    condition = output.private_subnets == tolist(["10.40.0.0/18", "10.40.64.0/18", "10.40.128.0/18"])

    error_message = "Private subnets are the first three quarters."
  }

  assert {
    condition     = output.public_subnets == tolist(["10.40.192.0/20", "10.40.208.0/20", "10.40.224.0/20"])
    error_message = "Public subnets are the first three sixteenths of the last quarter."
  }

  assert {
    condition     = output.database_subnets == tolist(["10.40.240.0/22", "10.40.244.0/22", "10.40.248.0/22"])
    error_message = "Database subnets lie in the last sixteenth."
  }
}

run "two_zones_get_two_of_each" {
  command = plan

  variables {
    cidr       = "172.20.16.0/20"
    zone_count = 2
  }

  assert {
    condition = alltrue([
      for subnets in [output.private_subnets, output.public_subnets, output.database_subnets] : length(subnets) == 2
    ])
    error_message = "Every tier has one subnet a zone."
  }

  assert {
    condition     = output.database_subnets[1] == "172.20.31.64/26"
    error_message = "The smallest network still holds 59 addresses a zone for the database."
  }
}

run "sizes_that_are_not_sold_are_named" {
  command = plan

  variables {
    sizes = {
      service = { cpu = 1024, memory_mb = 4096 }
      mlflow  = { cpu = 256, memory_mb = 4096 }
      run     = { cpu = 8192, memory_mb = 17408 }
    }
  }

  expect_failures = [output.sizes]
}

run "a_network_too_small_is_refused" {
  command = plan

  variables {
    cidr = "10.40.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "one_zone_is_refused" {
  command = plan

  variables {
    zone_count = 1
  }

  expect_failures = [var.zone_count]
}
