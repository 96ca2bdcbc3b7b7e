# Arithmetic without a provider, so that `terraform test` holds it on any machine: which addresses each tier gets, and
# which sizes Fargate sells.

locals {
  # Of four quarters, three are private (a run takes an address of its own) and the last holds the small tiers.
  zones            = range(var.zone_count)
  private_subnets  = tolist([for zone in local.zones : cidrsubnet(var.cidr, 2, zone)])
  public_subnets   = tolist([for zone in local.zones : cidrsubnet(var.cidr, 4, 12 + zone)])
  database_subnets = tolist([for zone in local.zones : cidrsubnet(cidrsubnet(var.cidr, 4, 15), 2, zone)])

  # CPU units: memory in MiB.
  sold = {
    256   = [512, 1024, 2048]
    512   = [for gigabytes in range(1, 5) : gigabytes * 1024]
    1024  = [for gigabytes in range(2, 9) : gigabytes * 1024]
    2048  = [for gigabytes in range(4, 17) : gigabytes * 1024]
    4096  = [for gigabytes in range(8, 31) : gigabytes * 1024]
    8192  = [for gigabytes in range(16, 61, 4) : gigabytes * 1024]
    16384 = [for gigabytes in range(32, 121, 8) : gigabytes * 1024]
  }
  not_sold = sort([
    for name, size in var.sizes : "${name} (${size.cpu} CPU units with ${size.memory_mb} MiB)"
    if !contains(lookup(local.sold, size.cpu, []), size.memory_mb)
  ])
}
