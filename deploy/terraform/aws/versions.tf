terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # Where the state lies is told at `terraform init -backend-config=state.hcl`; `bootstrap` makes the bucket. A lock file
  # beside the state keeps two people from applying at once.
  backend "s3" {
    key          = "cryptobot/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = var.name, managed-by = "terraform" }
  }
}
